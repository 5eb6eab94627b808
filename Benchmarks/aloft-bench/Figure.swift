/// One measured number, named so that a check can find it: one line of the `--json` file.
struct Figure: Codable, Sendable {
  /// What was measured: `aloft`, or the name of a peer run beside it.
  var system: String
  /// The scenario's name in docs, such as `10-echo`.
  var scenario: String
  /// The shape, whole: `conns=64 pipeline=16 bytes=64`.
  var config: String
  /// The figure's name, such as `ops_per_s`.
  var figure: String
  var value: Double
  var unit: String
  /// Counted from 1.
  var run: Int
}
