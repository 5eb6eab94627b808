public import AloftQueue

/// Bytes on their way from one mailbox or connection to another: one reference to a counted block.
public typealias Message = AloftQueue.Message
