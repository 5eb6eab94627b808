package enum AloftEnginePlaceholder {}
