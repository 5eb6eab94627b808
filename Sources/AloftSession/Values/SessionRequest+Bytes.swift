package import AloftMembership

extension SessionOperation {
  var kind: OperationKind {
    switch self {
    case .create: .create
    case .put: .put
    case .append: .append
    case .patch: .patch
    case .setPhase: .setPhase
    case .publish: .publish
    case .acknowledge: .acknowledge
    case .close: .close
    }
  }

  func writeBody(_ writer: inout RawWriter) {
    switch self {
    case .create(let options, let name, let state):
      CreateBody.write(options, nameLength: min(name.count, 255), to: &writer)
      writer.put(raw: Array(name.prefix(255)))
      writer.put(raw: state)
    case .put(let bytes), .append(let bytes), .publish(let bytes): writer.put(raw: bytes)
    case .patch(let fields): for field in fields { FieldList.write(field, to: &writer) }
    case .setPhase(let phase): writer.put(phase.rawValue)
    case .acknowledge(let number): writer.put(number)
    case .close: break
    }
  }

  init(_ view: OperationView) throws(MalformedBytes) {
    var reader = unsafe RawReader(view.body)
    switch view.head.kind {
    case .create:
      let body = unsafe try CreateBody(view.body)
      self = unsafe .create(body.options, name: Array(body.name), state: Array(body.state))
    case .put: self = .put(try reader.array(reader.remaining))
    case .append: self = .append(try reader.array(reader.remaining))
    case .publish: self = .publish(try reader.array(reader.remaining))
    case .patch:
      var fields: [SessionField] = []
      while reader.remaining > 0 { fields.append(try FieldList.field(&reader)) }
      self = .patch(fields)
    case .setPhase:
      guard let phase = SessionPhase(rawValue: try reader.byte()) else { throw MalformedBytes() }
      self = .setPhase(phase)
      try reader.end()
    case .acknowledge:
      self = .acknowledge(through: try reader.long())
      try reader.end()
    case .close:
      self = .close
      try reader.end()
    // Nobody but the owner does these.
    case .expire, .remove: throw MalformedBytes()
    }
  }
}

extension SessionRequest {
  var head: OperationHead {
    OperationHead(
      kind: operation.kind, id: id, key: key, expected: expected,
      principal: principal == .anyone ? nil : principal)
  }

  /// As it is passed on: an operation as it stands in an entry.
  package var bytes: [UInt8] {
    var writer = RawWriter()
    let start = writer.begin(head)
    operation.writeBody(&writer)
    writer.finish(start)
    return writer.take()
  }

  package init(bytes: [UInt8]) throws(MalformedBytes) {
    self = try reading(bytes) { reader throws(MalformedBytes) in
      let view = try OperationView(&reader)
      try reader.end()
      return SessionRequest(
        id: view.head.id, principal: view.head.principal ?? .anyone, key: view.head.key,
        expected: view.head.expected, operation: try SessionOperation(view))
    }
  }
}
