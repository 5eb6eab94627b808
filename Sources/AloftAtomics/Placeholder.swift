package enum AloftAtomicsPlaceholder {}
