extension ClusterEnvelope {
  private static let version: UInt8 = 1

  private enum Tag: UInt8 {
    case joinRequest = 1
    case admitted, redirected, notAdmitted, forward, beat, beatAnswer, opinionRequest, opinion, over
  }

  /// As it travels.
  package var bytes: [UInt8] {
    var writer = ByteWriter()
    writer.put(Self.version)
    sender.write(&writer)
    writer.put(epoch)
    write(message, to: &writer)
    return writer.bytes
  }

  private func write(_ message: ClusterMessage, to writer: inout ByteWriter) {
    func put(_ tag: Tag) { writer.put(tag.rawValue) }
    switch message {
    case .joinRequest(let description, let birth, let former):
      put(.joinRequest)
      description.write(&writer)
      writer.put(birth)
      former.write(&writer)
    case .admitted(let identity, let contacts, let birth):
      put(.admitted)
      identity.write(&writer)
      writer.put(UInt16(contacts.count))
      for contact in contacts { contact.write(&writer) }
      writer.put(birth)
    case .redirected(let address):
      put(.redirected)
      writer.put(address)
    case .notAdmitted(let refusal, let birth):
      put(.notAdmitted)
      writer.put(refusal.rawValue)
      writer.put(birth)
    case .forward(let proposal):
      put(.forward)
      writer.put(proposal.bytes)
    case .beat(let term, let round, let echo):
      put(.beat)
      writer.put(term.rawValue)
      writer.put(round)
      writer.put(echo)
    case .beatAnswer(let term, let round, let stamp):
      put(.beatAnswer)
      writer.put(term.rawValue)
      writer.put(round)
      writer.put(stamp)
    case .opinionRequest(let incarnation):
      put(.opinionRequest)
      writer.put(incarnation)
    case .opinion(let incarnation, let isHeard):
      put(.opinion)
      writer.put(incarnation)
      writer.put(isHeard)
    case .over(let incarnation):
      put(.over)
      writer.put(incarnation)
    }
  }

  package init(bytes: [UInt8]) throws(MalformedBytes) {
    var reader = ByteReader(bytes)
    guard try reader.byte() == Self.version else { throw MalformedBytes() }
    sender = try NodeIdentity(&reader)
    epoch = try reader.epoch()
    message = try Self.message(&reader)
    try reader.end()
  }

  private static func message(_ reader: inout ByteReader) throws(MalformedBytes) -> ClusterMessage {
    switch try reader.value(Tag.self) {
    case .joinRequest:
      .joinRequest(
        try MemberDescription(&reader), birth: try reader.long(), former: try NodeIdentity(&reader))
    case .admitted:
      .admitted(try NodeIdentity(&reader), try contacts(&reader), birth: try reader.long())
    case .redirected: .redirected(address: try reader.text())
    case .notAdmitted:
      .notAdmitted(try reader.value(CommandRefusal.self), birth: try reader.long())
    case .forward: .forward(try ClusterProposal(bytes: try reader.block()))
    case .beat:
      .beat(
        term: Term(rawValue: try reader.long()), round: try reader.long(),
        echo: try reader.long())
    case .beatAnswer:
      .beatAnswer(
        term: Term(rawValue: try reader.long()), round: try reader.long(),
        stamp: try reader.long())
    case .opinionRequest: .opinionRequest(about: try reader.incarnation())
    case .opinion: .opinion(about: try reader.incarnation(), isHeard: try reader.bool())
    case .over: .over(try reader.incarnation())
    }
  }

  private static func contacts(_ reader: inout ByteReader) throws(MalformedBytes) -> [Contact] {
    var contacts: [Contact] = []
    for _ in 0..<Int(try reader.short()) {
      contacts.append(
        Contact(
          id: try reader.node(), incarnation: try reader.incarnation(),
          address: try reader.text()))
    }
    return contacts
  }
}

extension Contact {
  func write(_ writer: inout ByteWriter) {
    writer.put(id)
    writer.put(incarnation)
    writer.put(address)
  }
}
