// Who imports Aloft alone can call what a message can do.
@_exported public import struct AloftQueue.Message
