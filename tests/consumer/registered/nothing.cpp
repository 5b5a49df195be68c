// Uses neither Rope nor torch: it starts if the loader finds all libraries that it was linked to.
int main() {
  return 0;
}
