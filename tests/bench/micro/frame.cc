// What a forked child sends home: building a frame, and reading a stream of them.
#include <benchmark/benchmark.h>
#include <frame.h>

#include <stdexcept>
#include <string>
#include <string_view>

namespace {

using namespace carrel::process;

void frame_encode(benchmark::State& state) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(encode_frame_header(FrameType::kResult, 1024));
    benchmark::DoNotOptimize(encode_progress(0.4F, "resizing"));
  }
}
BENCHMARK(frame_encode);

void frame_parse(benchmark::State& state) {
  std::string stream;
  for (int i = 0; i < 10; ++i) {
    const std::string body = encode_progress(0.1F * static_cast<float>(i), "resizing");
    stream.append(encode_frame_header(FrameType::kProgress, body.size())).append(body);
  }
  stream.append(encode_frame_header(FrameType::kResult, 1024)).append(1024, 'x');

  for (auto _ : state) {
    std::string_view rest = stream;
    while (!rest.empty()) {
      const FrameStep step = parse_frame(rest, FrameBounds{});
      if (step.kind != FrameStep::Kind::kFrame) throw std::logic_error("not a frame");
      if (step.type == FrameType::kProgress) {
        benchmark::DoNotOptimize(decode_progress(step.body));
      }
      rest.remove_prefix(step.used);
    }
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(stream.size()));
  state.SetItemsProcessed(state.iterations() * 11);
}
BENCHMARK(frame_parse);

}  // namespace
