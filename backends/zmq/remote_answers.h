// What the calls of a remote store have in common: requests in pieces, and their answers.
#pragma once

#include <carrel/result.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <utility>
#include <vector>

namespace carrel::zmq {

inline std::uint32_t bounded(std::size_t n) {
  return static_cast<std::uint32_t>(std::min<std::size_t>(n, UINT32_MAX));
}

inline tl::unexpected<Error> miscounted() {
  return fail(Code::kInternal, "the broker answered for another number of rows", "zmq");
}

template <class T>
void refuse(std::vector<Result<T>>& all, std::size_t rows, const Error& error) {
  for (std::size_t i = 0; i < rows; ++i) all.emplace_back(tl::unexpect, error);
}

// A broker that is away is not waited for once more for each piece.
inline bool is_away(const Error& error) { return error.code == Code::kUnavailable; }

// The answers to one piece, to the end of `all`.
template <class T, class Value>
void append(std::vector<Result<T>>& all, std::size_t rows, Result<Value> answer) {
  if (answer && answer->value.size() != rows) answer = miscounted();
  if (!answer) return refuse(all, rows, answer.error());
  std::move(answer->value.begin(), answer->value.end(), std::back_inserter(all));
}

template <class Value>
auto value_of(Result<Value> answer) -> Result<decltype(answer->value)> {
  if (!answer) return tl::unexpected<Error>(std::move(answer.error()));
  return std::move(answer->value);
}

}  // namespace carrel::zmq
