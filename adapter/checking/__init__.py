"""What ``adapter check`` looks at: each part by itself, all faults told, none hides another."""
