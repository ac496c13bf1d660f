// What the programs of all examples do alike with their command lines.
#pragma once

#include <carrel/result.h>

#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace trial {

// Reads the options. An exit code: the program ends with it, 0 after --help, and 2 where
// something was wrong, which was said.
std::optional<int> parse(CLI::App& app, int argc, char** argv);

// Before a measurement of minutes. kInvalid, or what a store says: one of the files
// cannot be written, or one of the stores (URLs) not be opened. Empty names are no files.
// Writes nothing; tables of a store on a server are made.
carrel::Result<void> check(const std::vector<std::string>& files,
                           const std::vector<std::string>& stores);

// This call as one of examples/run, for a page that says how it came about. No password
// of a URL and no value of an option that begins with --secret is in it.
std::string same_run(const std::string& example, int argc, const char* const* argv);

}  // namespace trial
