// What the launches answer before they launch anything, and where they cannot; and how errors of
// CUDA's are put into words. With CUDA in the build, but no need of a GPU.
#include <cuda_runtime_api.h>

#include <rope/kernels.h>

#include <cstdint>
#include <limits>
#include <string>

#include <gtest/gtest.h>

#include "../../csrc/launch_error.h"
#include "../cpp/fake_params.h"
#include "on_gpu.h"
#include "status.h"

namespace rope::test {
namespace {

TEST(CudaRefusalTest, OfParamsIsThatOfTheCpu) {
  Params params = fake_params({});
  params.rotary_dim = 63;
  EXPECT_EQ(launch_cuda(params, nullptr), Status::kRotaryDim);
}

TEST(CudaRefusalTest, OfATableIsThatOfTheCpu) {
  TableParams params;
  params.num_pairs = 0;
  EXPECT_EQ(launch_table_cuda(params, nullptr), Status::kRotaryDim);
}

TEST(CudaRefusalTest, OfTurnsNamesTheNullPointer) {
  const double* const nowhere = nullptr;
  EXPECT_EQ(launch_turns_cuda(nowhere, 3, nullptr, nullptr), Status::kNullPointer);
  EXPECT_EQ(launch_turns_cuda(nowhere, -1, nullptr, nullptr), Status::kExtent);
}

TEST(CudaRefusalTest, OfTurnsNamesTheAddressThatIsNotAligned) {
  const auto* const values = fake_address<double>(0x10000);
  auto* const turns = fake_address<uint64_t>(0x20000);
  EXPECT_EQ(launch_turns_cuda(fake_address<double>(0x10004), 3, turns, nullptr),
            Status::kAlignment);
  EXPECT_EQ(launch_turns_cuda(fake_address<float>(0x10002), 3, turns, nullptr), Status::kAlignment);
  EXPECT_EQ(launch_turns_cuda(values, 3, fake_address<uint64_t>(0x20004), nullptr),
            Status::kAlignment);
}

TEST(CudaRefusalTest, OfTooManyHostTurns) {
  Params params = fake_params({});
  params.num_axes = 8;
  params.frequencies.stride_axis = 64;  // 8 · 64 words fit
  EXPECT_NE(launch_cuda(params, nullptr), Status::kHostTurns);
  params.frequencies.stride_axis = 65;
  EXPECT_EQ(launch_cuda(params, nullptr), Status::kHostTurns);
}

TEST(CudaRefusalTest, OfTooManyHostTurnsForEachHead) {
  Params params = fake_params({1, 128, 9, 0});
  params.frequencies.stride_head = 64;  // 9 heads
  EXPECT_EQ(launch_cuda(params, nullptr), Status::kHostTurns);
}

TEST(CudaRefusalTest, OfTooManyHostTurnsForTheHeadsOfK) {
  Params params = fake_params({1, 128, 1, 9});
  params.frequencies.stride_head = 64;
  EXPECT_EQ(launch_cuda(params, nullptr), Status::kHostTurns);
}

TEST(CudaRefusalTest, OfHostTurnsBeforeTheFirst) {
  Params params = fake_params({1, 128, 8, 0});
  params.frequencies.stride_head = -64;
  params.num_axes = 8;
  params.frequencies.stride_axis = 64;  // as many words in all as fit
  EXPECT_EQ(launch_cuda(params, nullptr), Status::kHostTurns);
}

TEST(CudaRefusalTest, OfHostTurnsBeyondCounting) {
  Params params = fake_params({1, 128, 8, 0});
  params.num_axes = 3;
  params.frequencies.stride_axis = std::numeric_limits<int64_t>::max();
  params.frequencies.stride_head = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(launch_cuda(params, nullptr), Status::kHostTurns);
}

TEST(CudaNothingTest, NeedsNoGpu) {
  EXPECT_EQ(launch_cuda(fake_params({2, 0, 4, 2}), nullptr), Status::kSuccess);
  TableParams table;
  table.num_pairs = 4;
  EXPECT_EQ(launch_table_cuda(table, nullptr), Status::kSuccess);
  const float* const nowhere = nullptr;
  EXPECT_EQ(launch_turns_cuda(nowhere, 0, nullptr, nullptr), Status::kSuccess);
}

TEST(CudaWithoutGpuTest, SaysWhichErrorTheRuntimeGave) {
  if (why_no_gpu().empty()) GTEST_SKIP() << "there is a GPU";
  uint64_t turns[64] = {};
  Params params = fake_params({});
  params.frequencies.turns = turns;
  const Status status = launch_cuda(params, nullptr);
  ASSERT_GT(status, Status::kCudaError);
  EXPECT_EQ(status_text(status), why_no_gpu());
  EXPECT_EQ(found_cuda().architecture, 0);
}

// ---- the words for an error

constexpr Status status_of(cudaError_t error) {
  return static_cast<Status>(static_cast<int32_t>(Status::kCudaError) +
                             static_cast<int32_t>(error));
}

struct Cause {
  cudaError_t error;
  CudaCause cause;
};

class CudaError : public testing::TestWithParam<Cause> {};

// The test has a CUDA runtime of its own to ask.
TEST_P(CudaError, HasTheNameAndTheTextOfTheRuntime) {
  const Status status = status_of(GetParam().error);
  EXPECT_STREQ(cuda_error_name(status), cudaGetErrorName(GetParam().error));
  EXPECT_STREQ(status_text(status), cudaGetErrorString(GetParam().error));
}

TEST_P(CudaError, HasItsCause) {
  EXPECT_EQ(cuda_cause(status_of(GetParam().error)), GetParam().cause);
}

constexpr Cause kCauses[] = {
    {cudaErrorInvalidValue, CudaCause::kCall},
    {cudaErrorInvalidConfiguration, CudaCause::kCall},
    {cudaErrorInvalidResourceHandle, CudaCause::kCall},
    {cudaErrorLaunchOutOfResources, CudaCause::kCall},
    {cudaErrorStreamCaptureUnsupported, CudaCause::kCall},
    {cudaErrorStreamCaptureImplicit, CudaCause::kCall},
    {cudaErrorIllegalAddress, CudaCause::kEarlierWork},
    {cudaErrorMisalignedAddress, CudaCause::kEarlierWork},
    {cudaErrorIllegalInstruction, CudaCause::kEarlierWork},
    {cudaErrorAssert, CudaCause::kEarlierWork},
    {cudaErrorLaunchTimeout, CudaCause::kEarlierWork},
    {cudaErrorLaunchFailure, CudaCause::kEarlierWork},
    {cudaErrorECCUncorrectable, CudaCause::kEarlierWork},
    {cudaErrorInvalidDeviceFunction, CudaCause::kArchitecture},
    {cudaErrorNoKernelImageForDevice, CudaCause::kArchitecture},
    {cudaErrorUnsupportedPtxVersion, CudaCause::kArchitecture},
    {cudaErrorJitCompilationDisabled, CudaCause::kArchitecture},
    {cudaErrorInsufficientDriver, CudaCause::kDriver},
    {cudaErrorSystemDriverMismatch, CudaCause::kDriver},
};

std::string cause_name(const testing::TestParamInfo<Cause>& info) {
  return cudaGetErrorName(info.param.error);
}

INSTANTIATE_TEST_SUITE_P(Of, CudaError, testing::ValuesIn(kCauses), cause_name);

TEST(CudaErrorNameTest, IsEmptyForWhatCudaDidNotReport) {
  EXPECT_STREQ(cuda_error_name(Status::kSuccess), "");
  EXPECT_STREQ(cuda_error_name(Status::kHostTurns), "");
  EXPECT_STREQ(cuda_error_name(Status::kCudaError), "");
}

glue::BuildInfo two_architectures() {
  return {"0.1.0", "2.15.0", "13.0.88", {"sm_80", "sm_90"}, "compute_120"};
}

struct Report {
  const char* name;
  Status status;
  FoundCuda found;
  const char* text;
};

constexpr Report kReports[] = {
    {"OfTheCall",
     status_of(cudaErrorInvalidConfiguration),
     {90, 13000},
     "CUDA reports cudaErrorInvalidConfiguration (9), invalid configuration argument"},
    {"OfEarlierWork",
     status_of(cudaErrorIllegalAddress),
     {90, 13000},
     "CUDA reports cudaErrorIllegalAddress (700), an illegal memory access was encountered; it "
     "comes from a kernel that ran earlier on this GPU, not from this call"},
    {"OfAnArchitectureThatIsNotBuilt",
     status_of(cudaErrorNoKernelImageForDevice),
     {110, 13000},
     "CUDA reports cudaErrorNoKernelImageForDevice (209), no kernel image is available for "
     "execution on the device; built for sm_80 sm_90 and PTX of compute_120, this GPU is sm_110: "
     "build it with -DROPE_CUDA_ARCHITECTURES=110-real"},
    {"OfAnArchitectureThatIsTooOld",
     status_of(cudaErrorNoKernelImageForDevice),
     {75, 13000},
     "CUDA reports cudaErrorNoKernelImageForDevice (209), no kernel image is available for "
     "execution on the device; built for sm_80 sm_90 and PTX of compute_120, this GPU is sm_75: "
     "the kernels need sm_80 or newer"},
    {"OfAnArchitectureNobodyKnows",
     status_of(cudaErrorNoKernelImageForDevice),
     {0, 13000},
     "CUDA reports cudaErrorNoKernelImageForDevice (209), no kernel image is available for "
     "execution on the device; built for sm_80 sm_90 and PTX of compute_120"},
    // CUDA's own text ends with a full stop here.
    {"OfPtx",
     status_of(cudaErrorUnsupportedPtxVersion),
     {121, 13000},
     "CUDA reports cudaErrorUnsupportedPtxVersion (222), the provided PTX was compiled with an "
     "unsupported toolchain; built for sm_80 sm_90 and PTX of compute_120, this GPU is sm_121: "
     "build it with -DROPE_CUDA_ARCHITECTURES=121-real"},
    {"OfADriver",
     status_of(cudaErrorInsufficientDriver),
     {90, 12080},
     "CUDA reports cudaErrorInsufficientDriver (35), CUDA driver version is insufficient for CUDA "
     "runtime version; built with CUDA 13.0.88, this driver serves CUDA 12.8: install a newer one"},
    {"OfNoDriver",
     status_of(cudaErrorInsufficientDriver),
     {0, 0},
     "CUDA reports cudaErrorInsufficientDriver (35), CUDA driver version is insufficient for CUDA "
     "runtime version; built with CUDA 13.0.88, but no driver is found"},
    {"OfARefusal",
     Status::kHostTurns,
     {90, 13000},
     "frequencies in host memory are limited to 512 words: put them into device memory"},
};

class LaunchErrorText : public testing::TestWithParam<Report> {};

TEST_P(LaunchErrorText, NamesWhatWasFound) {
  const auto& [name, status, found, text] = GetParam();
  EXPECT_EQ(glue::launch_error_text(status, two_architectures(), found), text);
}

std::string report_name(const testing::TestParamInfo<Report>& info) {
  return info.param.name;
}

INSTANTIATE_TEST_SUITE_P(Is, LaunchErrorText, testing::ValuesIn(kReports), report_name);

TEST(LaunchErrorTextTest, OfABuildOfPtxAloneHasNoAnd) {
  const std::string text = glue::architecture_text({"", "", "13.0", {}, "compute_90"}, 90);
  EXPECT_EQ(text.substr(0, text.find(',')), "built for PTX of compute_90");
}

}  // namespace
}  // namespace rope::test
