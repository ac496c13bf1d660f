// The commands. Each answers with its exit code; what it found goes to standard output,
// everything else to standard error.
#pragma once

#include "arguments.h"

namespace carrel::cli {

int run(const Global& global, const RunArgs& args);
int enqueue(const Global& global, const EnqueueArgs& args);
int list(const Global& global, const ListArgs& args);
int export_jobs(const Global& global, const ExportArgs& args);
int show(const Global& global, const ShowArgs& args);
int retry(const Global& global, const RetryArgs& args);
int cancel(const Global& global, const CancelArgs& args);
int pause(const Global& global, const PauseArgs& args);
int resume(const Global& global, const ResumeArgs& args);
int status(const Global& global);
int compare(const Global& global, const CompareArgs& args);
int spin(const SpinArgs& args);
int sandbox(const Global& global, const SandboxArgs& args);
int migrate(const Global& global, const MigrateArgs& args);
int reindex(const Global& global);
int doctor(const Global& global);
// These become the program carrel-broker, and return only where there is none.
int broker(const Global& global);
int keys(const Global& global, const KeysArgs& args);

}  // namespace carrel::cli
