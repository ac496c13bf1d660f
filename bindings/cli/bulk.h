// Many changes, one batch after another, by a command that may be ended on the way: it
// ends between two batches, so that it can say how far it came.
#pragma once

#include <string_view>

#include "arguments.h"
#include "interrupt.h"

namespace carrel::cli {

// While it lives a signal only asks for the end; the second one ends the process. Who
// reads the output no more ends it likewise, by an error of standard output.
class Bulk {
 public:
  Bulk();

  // Prints what there is to print. kOk: go on; else the exit code.
  int between() const;
  const Interrupt& interrupt() const noexcept { return interrupt_; }

 private:
  Interrupt interrupt_;
};

// The more severe of two exit codes, for a command about many jobs.
int worse(int a, int b) noexcept;

// "2 of 5 jobs were retried; those from job 3 on were not tried", on standard error.
void tell_rest(std::size_t done, std::size_t of, std::string_view what, JobId rest);

}  // namespace carrel::cli
