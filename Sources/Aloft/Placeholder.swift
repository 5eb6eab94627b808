package enum AloftPlaceholder {}
