// How values become bytes and back. Numbers are little-endian and of fixed width; a text
// or list is a u32 count and what it counts; an optional is a u8, 0 or 1, and the value.
//
// A type is described once, by a function `fields(archive, value)` that names its members
// in order (fields.h, messages.h). Encoder, Sizer and Decoder are the archives. There is
// one encoding of every value: what a Decoder takes, an Encoder writes again, byte by
// byte.
#pragma once

#include <carrel/types.h>

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace carrel::zmq {

static_assert(std::endian::native == std::endian::little,
              "a big-endian machine needs byte swaps here");

// T is U, const or not: so that one list of fields serves reading and writing.
template <class T, class U>
concept Of = std::same_as<std::remove_const_t<T>, U>;

// The last enumerator, for enums whose values are checked when read.
template <class E>
struct LastOf;
template <class E>
concept Bounded = requires {
  LastOf<E>::value;
};

// What Encoder and Sizer share: the walk over a value, for an `Out` with raw(bytes, n).
template <class Out>
class Walk {
 public:
  template <class... T>
  void operator()(const T&... values) {
    (put(values), ...);
  }

 private:
  template <class T>
  requires std::is_arithmetic_v<T> || std::is_enum_v<T>
  void put(const T& value) { out().raw(&value, sizeof value); }
  void put(const std::string& text) {
    size(text.size());
    out().raw(text.data(), text.size());
  }
  void put(Duration d) { put(static_cast<std::int64_t>(d.count())); }
  void put(Time t) { put(t.time_since_epoch()); }
  template <class T>
  void put(const std::optional<T>& value) {
    put(value.has_value());
    if (value) put(*value);
  }
  template <class T, class E>
  void put(const tl::expected<T, E>& value) {
    put(value.has_value());
    value ? put(*value) : put(value.error());
  }
  template <class T>
  void put(std::span<const T> list) {
    size(list.size());
    for (const T& item : list) put(item);
  }
  template <class T>
  void put(const std::vector<T>& list) {
    put(std::span<const T>(list));
  }
  template <class T, std::size_t N>
  void put(const std::array<T, N>& list) {
    for (const T& item : list) put(item);
  }
  template <class T>
  void put(const std::map<std::string, T>& map) {
    size(map.size());
    for (const auto& [key, value] : map) (*this)(key, value);
  }
  template <class T>
  requires requires(Walk& w, const T& v) { fields(w, v); }
  void put(const T& value) { fields(*this, value); }

  void size(std::size_t n) { put(static_cast<std::uint32_t>(n)); }
  Out& out() { return static_cast<Out&>(*this); }
};

class Encoder : public Walk<Encoder> {
 public:
  explicit Encoder(std::string& out) : out_(out) {}
  void raw(const void* bytes, std::size_t n) {
    out_.append(static_cast<const char*>(bytes), n);
  }

 private:
  std::string& out_;
};

class Sizer : public Walk<Sizer> {
 public:
  void raw(const void* /*bytes*/, std::size_t n) { size_ += n; }
  std::size_t size() const { return size_; }

 private:
  std::size_t size_ = 0;
};

template <class T>
std::size_t encoded_size(const T& value) {
  Sizer sizer;
  sizer(value);
  return sizer.size();
}

// Reads what an Encoder wrote, and nothing else: after the first thing that is wrong,
// ok() is false and every value read is empty. Never reads past its input, and never
// holds more memory than a small multiple of it.
class Decoder {
 public:
  explicit Decoder(std::string_view in) : in_(in) {}

  template <class... T>
  void operator()(T&... values) {
    (get(values), ...);
  }
  // All was as it should be, and nothing is left.
  bool whole() const { return ok_ && in_.empty(); }

 private:
  template <class T>
  requires std::is_arithmetic_v<T> &&(!std::same_as<T, bool>)void get(T& value) {
    if (!take(sizeof value)) return;
    std::memcpy(&value, in_.data() - sizeof value, sizeof value);
  }
  void get(bool& value) {
    std::uint8_t byte = 0;
    get(byte);
    if (byte > 1) wrong();
    value = byte == 1;
  }
  template <class E>
  requires std::is_enum_v<E>
  void get(E& value) {
    std::underlying_type_t<E> number{};
    get(number);
    if constexpr (Bounded<E>) {
      if (number > static_cast<std::underlying_type_t<E>>(LastOf<E>::value)) {
        number = 0;
        wrong();
      }
    }
    value = static_cast<E>(number);
  }
  void get(std::string& text) {
    const std::size_t n = count();
    if (!take(n)) return;
    text.assign(in_.data() - n, n);
  }
  void get(Duration& d) {
    std::int64_t microseconds = 0;
    get(microseconds);
    d = Duration{microseconds};
  }
  void get(Time& t) {
    Duration since_epoch{};
    get(since_epoch);
    t = Time{since_epoch};
  }
  template <class T>
  void get(std::optional<T>& value) {
    bool there = false;
    get(there);
    if (there) get(value.emplace());
  }
  template <class T, class E>
  void get(tl::expected<T, E>& value) {
    bool there = false;
    get(there);
    if (there) {
      T good{};
      get(good);
      value = std::move(good);
    } else {
      E bad{};
      get(bad);
      value = tl::unexpected<E>(std::move(bad));
    }
  }
  template <class T>
  void get(std::vector<T>& list) {
    const std::size_t n = count();
    for (std::size_t i = 0; i < n && ok_; ++i) get(list.emplace_back());
  }
  template <class T, std::size_t N>
  void get(std::array<T, N>& list) {
    for (T& item : list) get(item);
  }
  template <class T>
  void get(std::map<std::string, T>& map) {
    const std::size_t n = count();
    for (std::size_t i = 0; i < n && ok_; ++i) {
      std::string key;
      get(key);
      if (!map.empty() && key <= map.rbegin()->first) return wrong();  // keys rise
      get(map.emplace_hint(map.end(), std::move(key), T{})->second);
    }
  }
  template <class T>
  requires requires(Decoder& d, T& v) { fields(d, v); }
  void get(T& value) { fields(*this, value); }

  // Every item takes a byte at least, so a count past the rest is a lie.
  std::size_t count() {
    std::uint32_t n = 0;
    get(n);
    if (n > in_.size()) wrong();
    return ok_ ? n : 0;
  }
  bool take(std::size_t n) {
    if (in_.size() < n) wrong();
    if (ok_) in_.remove_prefix(n);
    return ok_;
  }
  void wrong() {
    ok_ = false;
    in_ = {};
  }

  std::string_view in_;
  bool ok_ = true;
};

}  // namespace carrel::zmq
