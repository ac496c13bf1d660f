// The root folder that all boxes of one profile see: made once, in a mount namespace of
// the room, and copied with it for every box.
//
// A copy costs a box nothing that depends on how many mounts the host has.
#pragma once

#include <string>

#include "blueprint.h"
#include "wire.h"

namespace carrel::sandbox {

struct Setback {
  process::Reply::Stage stage = process::Reply::Stage::kNone;  // kNone: all went well
  int error = 0;
  std::string what;  // a path, where it was about one
};

// Moves this process, which has one thread, into a user and a mount namespace with that
// root. Outside it is then `plan.user` if it was root, else who it was.
Setback move_in(const Blueprint& blueprint);

}  // namespace carrel::sandbox
