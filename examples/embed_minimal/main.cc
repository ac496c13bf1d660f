// A program with a job engine inside: it handles one kind, enqueues a job, and waits.
#include <carrel/engine.h>

#include <iostream>

using namespace std::chrono_literals;

carrel::Result<carrel::Json> thumbnail(carrel::Context& job) {
  const int width = job.args().at("width");
  const int height = job.args().at("height");
  if (width <= 0) return job.discard("a picture of no width");
  job.progress(0.4, "resizing");
  return carrel::Json{{"width", 64}, {"height", height * 64 / width}};
}

int main(int argc, char** argv) {
  auto engine = carrel::Engine::open(argc > 1 ? argv[1] : "carrel.toml");
  if (!engine) {
    std::cerr << engine.error().message << '\n';
    return 1;
  }
  engine->handle("thumbnail", thumbnail);

  const auto id = engine->enqueue("thumbnail", {{"width", 640}, {"height", 480}});
  const auto started = engine->start();  // or engine->run(), which blocks until SIGTERM
  if (!id || !started) {
    std::cerr << (id ? started.error() : id.error()).message << '\n';
    return 1;
  }
  const auto result = engine->wait(*id, 10s);
  std::cout << (result ? result->dump() : result.error().message) << '\n';
  engine->stop(5s);
  return result ? 0 : 1;
}
