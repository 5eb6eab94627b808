public import AloftAtomics
public import AloftRegistry

/// Who is told of all names of bytes that come and go, after the change and on the thread that made
/// it. Changes of one name may so be told out of order: what stands is what a look-up says.
///
/// A class to inherit from, so that to tell counts no reference.
open class NamesObserver: @unchecked Sendable {
  // @unchecked: no stored properties; subclasses prove their own.
  public init() {}

  /// A name stands for `target` from now on.
  open func registered(_ name: NameKey, _ target: Target) {}
  /// It was taken from `target`.
  open func unregistered(_ name: NameKey, _ target: Target) {}
  /// An owner of names has ended, and all of them with it.
  open func ended(_ owner: Target) {}
}

extension Names {
  /// A name of another node's mailbox, which stands until it is taken away: its end is not seen
  /// here.
  /// - Throws: `nameTaken` with the holder, `full`.
  package func registerRemote(_ name: NameKey, _ target: Target) throws(RegistryError) {
    precondition(target.isRemote, "\(target) is of this process")
    try section { directory throws(RegistryError) in try directory.register(.name(name), target) }
  }

  /// Takes the name from `target`, if it has it.
  package func unregisterRemote(_ name: NameKey, _ target: Target) {
    section { directory in try? directory.unregister(.name(name), target) }
  }
}
