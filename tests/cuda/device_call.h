// A call of the corpus in device memory: the same bytes at addresses with the same low bits, so
// that it gets the plan it would get on the host. For the tests on a GPU.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include <rope/params.h>

#include "../cpp/call.h"
#include "on_gpu.h"

namespace rope::test {

enum class TurnsPlace { kHost, kDevice };

class DeviceCall {
 public:
  // The call must outlive this one where its turns stay on the host.
  DeviceCall(const Call& call, TurnsPlace place) : params_(call.params) {
    for (const Block& block : call.blocks) {
      blocks_.push_back(std::make_unique<DeviceMemoryBlock>(block.size()));
      blocks_.back()->upload(block.data());
    }
    const uint64_t* const host_turns = params_.frequencies.turns;
    for_each_address(params_, [&](auto& address) { move(call, address); });
    params_.frequencies.on_host = place == TurnsPlace::kHost;
    if (place == TurnsPlace::kHost) params_.frequencies.turns = host_turns;
  }

  const Params& params() const { return params_; }

  // After a synchronisation: the device's bytes into the blocks of a call of the same case.
  void download(const Call& call) const {
    for (size_t i = 0; i < blocks_.size(); ++i) {
      EXPECT_TRUE(blocks_[i]->guards_are_intact()) << "around " << call.blocks[i].name();
      blocks_[i]->download(call.blocks[i].data());
    }
  }

 private:
  template <class Pointer>
  void move(const Call& call, Pointer& address) const {
    for (size_t i = 0; i < blocks_.size(); ++i) {
      const Block& block = call.blocks[i];
      // A table without rows has an address, and a block of no bytes.
      if (!block.contains(address) && block.data() != static_cast<const void*>(address)) continue;
      const std::ptrdiff_t offset =
          reinterpret_cast<const uint8_t*>(address) - static_cast<const uint8_t*>(block.data());
      address = reinterpret_cast<Pointer>(blocks_[i]->data() + offset);
      return;
    }
  }

  Params params_;
  std::vector<std::unique_ptr<DeviceMemoryBlock>> blocks_;
};

}  // namespace rope::test
