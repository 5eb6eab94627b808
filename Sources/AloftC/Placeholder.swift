package enum AloftCPlaceholder {}
