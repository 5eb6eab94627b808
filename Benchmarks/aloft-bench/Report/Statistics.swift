enum Statistics {
  /// The middle value, or the mean of the two in the middle; 0 of nothing.
  static func median(_ values: [Double]) -> Double {
    guard !values.isEmpty else { return 0 }
    let sorted = values.sorted()
    let middle = sorted.count / 2
    return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
  }

  /// From the least to the greatest, as a percentage of the median; 0 where there is no median.
  static func spreadPercent(_ values: [Double]) -> Double {
    let middle = median(values)
    guard middle != 0, let least = values.min(), let greatest = values.max() else { return 0 }
    return (greatest - least) / abs(middle) * 100
  }
}
