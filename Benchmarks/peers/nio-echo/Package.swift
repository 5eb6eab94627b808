// swift-tools-version: 6.0
import PackageDescription

// A package of its own: Aloft depends on no other event loop, it is only measured beside one.
// (Its directory may not be called swift-nio: SwiftPM takes that for the dependency itself.)
let package = Package(
  name: "nio-echo",
  dependencies: [
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.0")
  ],
  targets: [
    .executableTarget(
      name: "nio-echo",
      dependencies: [
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
      ])
  ]
)
