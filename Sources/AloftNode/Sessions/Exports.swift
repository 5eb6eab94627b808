// Who imports AloftNode alone can name what sessions are made of.
@_exported public import struct AloftSession.Principal
@_exported public import struct AloftSession.SessionID
@_exported public import struct AloftSession.SessionOptions
@_exported public import enum AloftSession.SessionDurability
@_exported public import enum AloftSession.SessionPhase
