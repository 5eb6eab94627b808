package enum AloftUVPlaceholder {}
