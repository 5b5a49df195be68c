// Asks torch's dispatcher, by name, for what librope.so registers when it is loaded; status 1 where
// it is not there. No header of Rope is included.
#include <ATen/core/dispatch/Dispatcher.h>

#include <cstdio>

int main() {
  const auto op = c10::Dispatcher::singleton().findSchema({"rope::apply", ""});
  std::puts(op.has_value() ? "rope::apply is registered" : "rope::apply is missing");
  return op.has_value() ? 0 : 1;
}
