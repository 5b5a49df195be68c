// Prints the tables of docs/performance.md, or writes them there: traffic_report [PAGE].
#include <exception>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string>

#include "traffic_tables.h"

int main(int count, char** arguments) {
  using namespace rope::test;
  if (count < 2) {
    std::cout << traffic_data_table() << "\n" << traffic_angle_table();
    return 0;
  }
  try {
    const std::string page = with_traffic_tables(read_page(arguments[1]));
    if (!(std::ofstream(arguments[1], std::ios::binary) << page).flush()) {
      throw std::runtime_error(std::string("cannot write ") + arguments[1]);
    }
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
  return 0;
}
