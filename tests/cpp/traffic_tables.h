// The tables of docs/performance.md, from the traffic model. For the program that writes them there
// and the test that compares.
#pragma once

#include <string>

namespace rope::test {

std::string traffic_data_table();
std::string traffic_angle_table();

// The page with its tables made anew, each between <!-- table: ID --> and <!-- end -->.
// Throws std::runtime_error where a place is missing.
std::string with_traffic_tables(const std::string& page);

// Throws std::runtime_error where there is no such file.
std::string read_page(const std::string& path);

}  // namespace rope::test
