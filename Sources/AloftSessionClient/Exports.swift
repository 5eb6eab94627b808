// Who imports this module alone can name what it hands out.
@_exported public import struct AloftNode.SessionFailure
@_exported public import struct AloftSession.SessionOptions
@_exported public import enum AloftSession.SessionDurability
@_exported public import enum AloftSession.SessionPhase
