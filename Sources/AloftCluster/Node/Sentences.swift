package import AloftMembership

// What a person is told, by whichever rim.

extension ClusterEnd {
  package var text: String {
    switch self {
    case .left: "it has left the cluster"
    case .notAdmitted(.nameTaken):
      "it was not let in: a node of its name is in the cluster, and lives; give it another name, "
        + "or stop that one"
    case .notAdmitted(let reason): "it was not let in: \(reason)"
    case .logEnded(let reason): reason
    }
  }
}

extension RequestOutcome {
  /// Nil for what was done.
  package var text: String? {
    switch self {
    case .done: nil
    case .refused(let reason): "the cluster refused: \(reason)"
    case .unknownName: "no node of that name is in the cluster"
    case .busy: "too many requests are under way, or the node is not a member"
    case .unknown: "no majority answered in time: it may be done, or come to be done"
    }
  }
}
