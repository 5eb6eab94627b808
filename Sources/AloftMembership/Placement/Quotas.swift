/// How many of something each of some weights is due.
enum Quotas {
  /// Shares of `total` that differ from the exact ones by less than 1 and add up to it. Each gets
  /// the whole part; the ones that are left go to those who hold more than that, so that as few as
  /// can be have to move, then by largest remainder (Hamilton's method, 1792), then to the first.
  static func shares(of total: Int, weights: [UInt16], held: [Int]) -> [Int] {
    let sum = weights.reduce(0) { $0 + Int($1) }
    guard sum > 0 else { return weights.map { _ in 0 } }
    var shares = weights.map { total * Int($0) / sum }
    let remainders = weights.map { total * Int($0) % sum }
    let left = total - shares.reduce(0, +)
    // Who is due a whole number is due no more.
    let candidates = weights.indices.filter { remainders[$0] > 0 }
    let order = candidates.sorted { a, b in
      let (moreA, moreB) = (held[a] > shares[a], held[b] > shares[b])
      if moreA != moreB { return moreA }
      return remainders[a] != remainders[b] ? remainders[a] > remainders[b] : a < b
    }
    for index in order.prefix(left) { shares[index] += 1 }
    return shares
  }
}
