// The traffic model: what the accesses of a warp ask of memory, counted while the executor runs
// every thread of a planned grid in order. Data addresses are numbers that nobody dereferences.
// For the traffic tests and the program that writes their tables.
//
// A warp is 32 consecutive threads of a block, x fastest (CUDA C++ Programming Guide). The n-th
// access of one kind of each of its threads is one instruction, and one request. That holds where
// all threads of a warp take the same way, or leave it early: a thread without a last head, or
// beyond the grid's end, has no n-th access, and takes no part in the request. Nobody taking part,
// there is none.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include <rope/params.h>

#include "thread.h"
#include "vector.h"

namespace rope::test {

constexpr uint64_t kSectorBytes = 32;
constexpr uint64_t kLineBytes = 128;
constexpr uint64_t kWarpThreads = 32;

enum Stream { kLoads, kStores, kTableReads, kPositionReads, kStreams };

// Addresses first … end − 1, from a multiple of a line on.
struct Region {
  uint64_t first = 0;
  uint64_t end = 0;
};

// Which sectors of a region were touched at all.
class Footprint {
 public:
  explicit Footprint(const Region& region)
      : region_(region), touched_((region.end - region.first + kSectorBytes - 1) / kSectorBytes) {}

  // From the start of the region; −1 for bytes that are not all in it.
  int64_t offset_of(uint64_t address, uint64_t bytes) const {
    const bool inside = address >= region_.first && address + bytes <= region_.end;
    return inside ? static_cast<int64_t>(address - region_.first) : -1;
  }

  void touch(uint64_t sector) { touched_[sector - region_.first / kSectorBytes] = true; }

  uint64_t count() const {
    return static_cast<uint64_t>(std::count(touched_.begin(), touched_.end(), true));
  }

 private:
  Region region_;
  std::vector<bool> touched_;
};

struct Counts {
  uint64_t requests = 0;
  uint64_t sectors = 0;   // distinct within a request, summed over the requests
  uint64_t lines = 0;     // likewise
  uint64_t bytes = 0;     // of every thread
  uint64_t distinct = 0;  // sectors that were touched at all
};

class WarpTraffic {
 public:
  WarpTraffic(const Region& data, const Region& table, const Region& position)
      : footprints_{Footprint(data), Footprint(data), Footprint(table), Footprint(position)} {}

  void begin(const Coordinate& at) {
    const Extent3& size = at.block_size;
    const uint64_t thread =
        at.thread.x + uint64_t{size.x} * (at.thread.y + uint64_t{size.y} * at.thread.z);
    if (thread % kWarpThreads == 0) end_warp();
    accesses_of_thread_.fill(0);
  }

  void access(Stream stream, uint64_t address, uint64_t bytes) {
    if (footprints_[stream].offset_of(address, bytes) < 0) {
      ++outside_;
      return;
    }
    counts_[stream].bytes += bytes;
    std::vector<Request>& requests = open_[stream];
    const size_t number = accesses_of_thread_[stream]++;
    if (number == requests.size()) requests.emplace_back();
    Request& sectors = requests[number];
    const uint64_t last = (address + bytes - 1) / kSectorBytes;
    for (uint64_t sector = address / kSectorBytes; sector <= last; ++sector) {
      if (sectors.empty() || sectors.back() != sector) sectors.push_back(sector);
    }
  }

  // Bytes from the first position on, or −1 for what is not there.
  int64_t offset_of_position(uint64_t address, uint64_t bytes) const {
    return footprints_[kPositionReads].offset_of(address, bytes);
  }

  // After the last thread.
  std::array<Counts, kStreams> finish() {
    end_warp();
    for (size_t stream = 0; stream < kStreams; ++stream) {
      counts_[stream].distinct = footprints_[stream].count();
    }
    return counts_;
  }

  uint64_t outside() const { return outside_; }

 private:
  using Request = std::vector<uint64_t>;  // the sectors of its threads, one after another

  void end_warp() {
    for (size_t stream = 0; stream < kStreams; ++stream) {
      for (Request& request : open_[stream]) {
        if (!request.empty()) count(request, counts_[stream], footprints_[stream]);
        request.clear();
      }
    }
  }

  static void count(Request& sectors, Counts& counts, Footprint& footprint) {
    // Most are in order as they come.
    if (!std::is_sorted(sectors.begin(), sectors.end())) std::sort(sectors.begin(), sectors.end());
    sectors.erase(std::unique(sectors.begin(), sectors.end()), sectors.end());
    ++counts.requests;
    counts.sectors += sectors.size();
    uint64_t line = UINT64_MAX;
    for (const uint64_t sector : sectors) {
      footprint.touch(sector);
      const uint64_t its_line = sector / (kLineBytes / kSectorBytes);
      counts.lines += its_line != line;
      line = its_line;
    }
  }

  std::array<Footprint, kStreams> footprints_;
  std::array<Counts, kStreams> counts_;
  std::array<std::vector<Request>, kStreams> open_;  // of the warp that runs
  std::array<size_t, kStreams> accesses_of_thread_ = {};
  uint64_t outside_ = 0;
};

// Reads positions as they are, and zeros from everywhere else. Frequencies are kernel arguments,
// which no request fetches; positions are numbered from an address that is a number too.
struct TrafficMemory {
  WarpTraffic* traffic;
  const std::vector<int64_t>* positions;

  void begin(const Coordinate& at) const { traffic->begin(at); }

  template <class T>
  T read(const T* address) const {
    const auto number = reinterpret_cast<uintptr_t>(address);
    const int64_t offset = traffic->offset_of_position(number, sizeof(T));
    traffic->access(offset < 0 ? kTableReads : kPositionReads, number, sizeof(T));
    T value = {};
    if (offset >= 0) {
      std::memcpy(&value, reinterpret_cast<const char*>(positions->data()) + offset, sizeof(T));
    }
    return value;
  }

  uint64_t turns(const Frequencies&, int64_t) const { return 0; }
  template <int kCount>
  void turns(const Frequencies&, int64_t, uint64_t* words) const {
    for (int i = 0; i < kCount; ++i) words[i] = 0;
  }

  void wait_for_earlier_work() const {}
  void let_later_work_start() const {}

  template <int kBytes>
  Vector<kBytes> load(const void* address) const {
    traffic->access(kLoads, reinterpret_cast<uintptr_t>(address), kBytes);
    return {};
  }

  template <int kBytes>
  void store(void* address, const Vector<kBytes>&) const {
    traffic->access(kStores, reinterpret_cast<uintptr_t>(address), kBytes);
  }
};

}  // namespace rope::test
