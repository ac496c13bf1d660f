// The carrel command.
#include <carrel/process.h>
#include <standard_streams.h>

#include <csignal>
#include <cstdio>
#include <exception>
#include <type_traits>

#include "commands.h"
#include "text.h"

namespace carrel::cli {
namespace {

int dispatch(const Arguments& arguments) {
  const Global& global = arguments.global;
  return std::visit(
      [&](const auto& args) -> int {
        using T = std::decay_t<decltype(args)>;
        if constexpr (std::is_same_v<T, RunArgs>) return run(global, args);
        if constexpr (std::is_same_v<T, EnqueueArgs>) return enqueue(global, args);
        if constexpr (std::is_same_v<T, ListArgs>) return list(global, args);
        if constexpr (std::is_same_v<T, ExportArgs>) return export_jobs(global, args);
        if constexpr (std::is_same_v<T, ShowArgs>) return show(global, args);
        if constexpr (std::is_same_v<T, RetryArgs>) return retry(global, args);
        if constexpr (std::is_same_v<T, CancelArgs>) return cancel(global, args);
        if constexpr (std::is_same_v<T, PauseArgs>) return pause(global, args);
        if constexpr (std::is_same_v<T, ResumeArgs>) return resume(global, args);
        if constexpr (std::is_same_v<T, StatusArgs>) return status(global);
        if constexpr (std::is_same_v<T, CompareArgs>) return compare(global, args);
        if constexpr (std::is_same_v<T, SpinArgs>) return spin(args);
        if constexpr (std::is_same_v<T, SandboxArgs>) return sandbox(global, args);
        if constexpr (std::is_same_v<T, MigrateArgs>) return migrate(global, args);
        if constexpr (std::is_same_v<T, ReindexArgs>) return reindex(global);
        if constexpr (std::is_same_v<T, DoctorArgs>) return doctor(global);
        if constexpr (std::is_same_v<T, BrokerArgs>) return broker(global);
        if constexpr (std::is_same_v<T, KeysArgs>) return keys(global, args);
        return kUsage;
      },
      arguments.command);
}

}  // namespace
}  // namespace carrel::cli

int main(int argc, char** argv) {
  carrel::open_standard_streams();
  // A process server that was killed, its keeper too, can be made again.
  carrel::main_hook(argc, argv);
  // A file that may not grow is an error as a full disk is, and no reason to die.
  std::signal(SIGXFSZ, SIG_IGN);
  try {
    const auto parsed = carrel::cli::parse(argc, argv);
    const int* const done = std::get_if<int>(&parsed);
    const int code =
        done != nullptr ? *done
                        : carrel::cli::dispatch(std::get<carrel::cli::Arguments>(parsed));
    // An answer that a full disk swallowed is none.
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
      carrel::cli::complain("cannot write to standard output");
      return carrel::cli::kStoreAway;
    }
    return code;
  } catch (const std::exception& e) {
    carrel::cli::complain(std::string("a defect of this command: ") + e.what());
    return carrel::cli::kStoreAway;
  }
}
