#include "traffic_tables.h"

#include <cstdarg>
#include <cstdio>
#include <fstream>
#include <initializer_list>
#include <sstream>
#include <stdexcept>

#include "traffic_calls.h"

namespace rope::test {
namespace {

std::string formatted(const char* format, ...) __attribute__((format(printf, 1, 2)));
std::string formatted(const char* format, ...) {
  char text[64];
  va_list values;
  va_start(values, format);
  std::vsnprintf(text, sizeof(text), format, values);
  va_end(values);
  return text;
}

std::string row_of(std::initializer_list<std::string> cells) {
  std::string row = "|";
  for (const std::string& cell : cells) row += " " + cell + " |";
  return row + "\n";
}

double share(uint64_t part, uint64_t whole) {
  return static_cast<double>(part) / static_cast<double>(whole);
}

std::string ratio(uint64_t part, uint64_t whole) {
  return formatted("%.2f", share(part, whole));
}

std::string percent(uint64_t part, uint64_t whole) {
  const double hundredths = 100 * share(part, whole);
  return formatted(hundredths < 0.95 ? "%.2f %%" : "%.1f %%", hundredths);
}

// One token is enough for what does not depend on how many there are.
std::string rotated_of_whole(const TrafficShape& shape) {
  const Occupied& rotated = rotated_part(shape, kDecode1);
  return percent(rotated.sectors, whole_heads(shape, kDecode1).sectors);
}

std::string data_row(const TrafficShape& shape) {
  const Occupied& rotated = rotated_part(shape, kPrefill2048);
  const Traffic& split = table_traffic(shape, Pairing::kSplit, kPrefill2048);
  const Traffic& interleaved = table_traffic(shape, Pairing::kInterleaved, kPrefill2048);
  const auto useful = [&](const Traffic& traffic) {
    return percent(2 * rotated.bytes, traffic.data_sectors() * kSectorBytes);
  };
  return row_of({shape.name, formatted("%d of %d", shape.rotary_dim, int(shape.q.head_dim)),
                 rotated_of_whole(shape), formatted("%d B", split.plan.vector_bytes),
                 ratio(split.data_sectors(), 2 * rotated.sectors),
                 ratio(interleaved.data_sectors(), 2 * rotated.sectors),
                 ratio(split.data_lines(), 2 * rotated.lines),
                 ratio(interleaved.data_lines(), 2 * rotated.lines), useful(split),
                 useful(interleaved)});
}

std::string angle_row(const TrafficShape& shape, const Regime& regime) {
  const Traffic& traffic = table_traffic(shape, Pairing::kSplit, regime);
  const uint64_t data = 2 * rotated_part(shape, regime).bytes;
  const auto part = [&](uint64_t sectors) { return percent(sectors * kSectorBytes, data); };
  const Counts& table = traffic.of[kTableReads];
  const Counts& position = traffic.of[kPositionReads];
  return row_of({shape.name, regime.name, formatted("%d", traffic.plan.heads_per_thread),
                 std::to_string(traffic.data_requests()),
                 formatted("%.0f", share(data, traffic.data_requests())), part(table.sectors),
                 part(table.distinct), part(position.sectors), part(position.distinct)});
}

std::string with_table(const std::string& page, const std::string& id, const std::string& table) {
  const std::string start = "<!-- table: " + id + " -->\n";
  const size_t begin = page.find(start);
  const size_t end = page.find("<!-- end -->", begin);
  if (begin == std::string::npos || end == std::string::npos) {
    throw std::runtime_error("no place for a table: " + id);
  }
  return page.substr(0, begin + start.size()) + table + page.substr(end);
}

}  // namespace

std::string traffic_data_table() {
  std::string table =
      row_of({"call", "rotated", "sectors of the heads", "access", "sectors ÷ minimum, half-split",
              "interleaved", "lines ÷ minimum, half-split", "interleaved", "useful, half-split",
              "interleaved"}) +
      "|---|---|---|---|---|---|---|---|---|---|\n";
  for (const TrafficShape& shape : traffic_shapes()) table += data_row(shape);
  return table;
}

std::string traffic_angle_table() {
  std::string table =
      row_of({"call", "tokens", "heads a thread", "data requests", "bytes a request",
              "table, asked for", "once each", "positions, asked for", "once each"}) +
      "|---|---|---|---|---|---|---|---|---|\n";
  for (const TrafficShape& shape : traffic_shapes()) {
    for (const Regime& regime : {kDecode1, kDecode32, kPrefill2048}) {
      table += angle_row(shape, regime);
    }
  }
  // The least that fills an H100 with five heads a thread is 4224 tokens of 40 heads.
  table += angle_row(traffic_shape("Llama-3-8B"), kPrefill8192);
  return table;
}

std::string with_traffic_tables(const std::string& page) {
  return with_table(with_table(page, "traffic-data", traffic_data_table()), "traffic-angles",
                    traffic_angle_table());
}

std::string read_page(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("no file " + path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace rope::test
