import ArgumentParser

@main
struct AloftBench: ParsableCommand {}
