import Foundation
import NIOCore
import NIOPosix

/// Echoes what it reads, and flushes once per batch of reads.
private final class Echo: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    context.write(data, promise: nil)
  }

  func channelReadComplete(context: ChannelHandlerContext) {
    context.flush()
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    context.close(promise: nil)
  }
}

/// A good SwiftNIO echo server on one thread.
///
/// `--listen IP:PORT`: port 0 lets the kernel choose. It prints `ready PORT` and leaves when
/// standard input closes.
@main
enum NIOEcho {
  static func main() throws {
    var address = "127.0.0.1:0"
    var arguments = CommandLine.arguments.dropFirst()
    while let argument = arguments.popFirst() {
      guard argument == "--listen", let value = arguments.popFirst() else {
        FileHandle.standardError.write(Data("usage: nio-echo [--listen IP:PORT]\n".utf8))
        exit(2)
      }
      address = value
    }
    let parts = address.split(separator: ":")
    guard parts.count == 2, let port = Int(parts[1]) else { exit(2) }

    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let channel = try ServerBootstrap(group: group)
      .serverChannelOption(.backlog, value: 4096)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      // Accepting many at once is what SwiftNIO's own servers do.
      .serverChannelOption(.maxMessagesPerRead, value: 256)
      .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
      .childChannelOption(.maxMessagesPerRead, value: 1)
      .childChannelOption(.recvAllocator, value: AdaptiveRecvByteBufferAllocator())
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(Echo())
        }
      }
      .bind(host: String(parts[0]), port: port).wait()
    print("ready \(channel.localAddress?.port ?? 0)")
    fflush(nil)
    while readLine() != nil {}
    exit(0)
  }
}
