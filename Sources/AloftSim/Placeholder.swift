package enum AloftSimPlaceholder {}
