#include "filter.h"

#include <asm/termbits.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <initializer_list>
#include <memory>

#include "os.h"

namespace carrel::sandbox {
namespace {

using Context = std::unique_ptr<void, void (*)(scmp_filter_ctx)>;

#ifndef TIOCSTI
constexpr unsigned TIOCSTI = 0x5412;
#endif
#ifndef TIOCLINUX
constexpr unsigned TIOCLINUX = 0x541C;
#endif

// Answered as an old kernel would: programs then take another way. A filter cannot look
// at the flags of clone3, which are in memory.
constexpr int kUnknown[] = {
    SCMP_SYS(clone3),         SCMP_SYS(io_uring_setup),
    SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register),
    SCMP_SYS(keyctl),         SCMP_SYS(add_key),
    SCMP_SYS(request_key),
};

// What changes the machine, looks into other processes, or has a long history of holes
// and no use for a program that computes.
constexpr int kRefused[] = {
    SCMP_SYS(mount),
    SCMP_SYS(umount),
    SCMP_SYS(umount2),
    SCMP_SYS(pivot_root),
    SCMP_SYS(chroot),
    SCMP_SYS(move_mount),
    SCMP_SYS(open_tree),
    SCMP_SYS(fsopen),
    SCMP_SYS(fsconfig),
    SCMP_SYS(fsmount),
    SCMP_SYS(fspick),
    SCMP_SYS(mount_setattr),
    SCMP_SYS(setns),
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(process_madvise),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(kcmp),
    SCMP_SYS(bpf),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(fanotify_init),
    SCMP_SYS(name_to_handle_at),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(quotactl),
    SCMP_SYS(quotactl_fd),
    SCMP_SYS(swapon),
    SCMP_SYS(swapoff),
    SCMP_SYS(reboot),
    SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(delete_module),
    SCMP_SYS(acct),
    SCMP_SYS(syslog),
    SCMP_SYS(settimeofday),
    SCMP_SYS(clock_settime),
    SCMP_SYS(stime),
    SCMP_SYS(sethostname),
    SCMP_SYS(setdomainname),
    SCMP_SYS(iopl),
    SCMP_SYS(ioperm),
    SCMP_SYS(vhangup),
    SCMP_SYS(lookup_dcookie),
    SCMP_SYS(vm86),
    SCMP_SYS(vm86old),
    SCMP_SYS(modify_ldt),
    SCMP_SYS(uselib),
    SCMP_SYS(ustat),
    SCMP_SYS(sysfs),
    SCMP_SYS(_sysctl),
    SCMP_SYS(nfsservctl),
    SCMP_SYS(move_pages),
    SCMP_SYS(migrate_pages),
    SCMP_SYS(mbind),
};

// Takes the machine's memory, or what a user may have of something, and no limit of a
// process or of its namespaces counts it.
constexpr int kUncounted[] = {
    SCMP_SYS(shmget),       SCMP_SYS(semget),        SCMP_SYS(msgget),
    SCMP_SYS(inotify_init), SCMP_SYS(inotify_init1), SCMP_SYS(io_setup),
};

// Which of its arguments is the mode of a file; and which says whether it makes one,
// where it may not.
struct ModeArgument {
  int call;
  unsigned mode;
  int flags = -1;
};
constexpr ModeArgument kWithMode[] = {
    {SCMP_SYS(chmod), 1},     {SCMP_SYS(fchmod), 1},    {SCMP_SYS(fchmodat), 2},
    {452 /* fchmodat2 */, 2}, {SCMP_SYS(creat), 1},     {SCMP_SYS(mknod), 1},
    {SCMP_SYS(mknodat), 2},   {SCMP_SYS(mkdir), 1},     {SCMP_SYS(mkdirat), 2},
    {SCMP_SYS(open), 2, 1},   {SCMP_SYS(openat), 3, 2},
};

constexpr int kRefusedIfStrict[] = {
    SCMP_SYS(personality), SCMP_SYS(memfd_create), SCMP_SYS(memfd_secret),
    SCMP_SYS(seccomp),     SCMP_SYS(mlockall),
};

// By a number or a name that all processes of a user share, or of an IPC namespace.
constexpr int kShared[] = {
    SCMP_SYS(shmat),   SCMP_SYS(shmctl),    SCMP_SYS(semop),  SCMP_SYS(semtimedop),
    SCMP_SYS(semctl),  SCMP_SYS(msgsnd),    SCMP_SYS(msgrcv), SCMP_SYS(msgctl),
    SCMP_SYS(mq_open), SCMP_SYS(mq_unlink),
};

// Their first argument is a process, 0 the caller. Its own number is refused too: a
// filter does not know it.
constexpr int kOfProcesses[] = {
    SCMP_SYS(sched_setaffinity), SCMP_SYS(sched_setscheduler), SCMP_SYS(sched_setparam),
    SCMP_SYS(sched_setattr),     SCMP_SYS(get_robust_list),
};

// The files of its user that it may not open. What is open goes by other calls. Newer
// ones than libseccomp knows have the same number everywhere.
constexpr int kOfFilesByName[] = {
    SCMP_SYS(chmod),       SCMP_SYS(fchmodat),      SCMP_SYS(chown),
    SCMP_SYS(lchown),      SCMP_SYS(fchownat),      SCMP_SYS(utime),
    SCMP_SYS(utimes),      SCMP_SYS(setxattr),      SCMP_SYS(lsetxattr),
    SCMP_SYS(removexattr), SCMP_SYS(lremovexattr),  452 /* fchmodat2 */,
    463 /* setxattrat */,  466 /* removexattrat */, 469 /* file_setattr */,
};

constexpr unsigned long kNewNamespaces[] = {
    CLONE_NEWNS,   CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
    CLONE_NEWUSER, CLONE_NEWPID,    CLONE_NEWNET, 0x80 /* CLONE_NEWTIME */,
};

class Compiler {
 public:
  explicit Compiler(Context context) : context_(std::move(context)) {}

  template <std::size_t N>
  void refuse(const int (&calls)[N], int error) {
    for (const int call : calls) add(call, error, {});
  }
  void refuse_namespaces() {
    for (const unsigned long flag : kNewNamespaces) {
      // In the flags of clone that bit is part of the exit signal.
      if (flag != 0x80)
        add(SCMP_SYS(clone), EPERM, {SCMP_A0(SCMP_CMP_MASKED_EQ, flag, flag)});
      add(SCMP_SYS(unshare), EPERM, {SCMP_A0(SCMP_CMP_MASKED_EQ, flag, flag)});
    }
  }
  // A file that runs as whoever owns it, and outlives no_new_privs: anybody else who can
  // reach it would be the program's user. As systemd's RestrictSUIDSGID.
  void refuse_set_ids() {
    add(SCMP_SYS(openat2), ENOSYS, {});  // its mode is in memory
    for (const ModeArgument& of : kWithMode) {
      for (const mode_t bit : {S_ISUID, S_ISGID}) {
        const scmp_arg_cmp mode = SCMP_CMP(of.mode, SCMP_CMP_MASKED_EQ, bit, bit);
        if (of.flags < 0) {
          add(of.call, EPERM, {mode});
          continue;
        }
        const auto flags = static_cast<unsigned>(of.flags);
        for (const scmp_datum_t creating : {O_CREAT, O_TMPFILE & ~O_DIRECTORY}) {
          add(of.call, EPERM,
              {SCMP_CMP(flags, SCMP_CMP_MASKED_EQ, creating, creating), mode});
        }
      }
    }
  }
  // Typing into a terminal that the host may share.
  void refuse_terminal_tricks() {
    for (const unsigned request : {unsigned{TIOCSTI}, unsigned{TIOCLINUX}}) {
      add(SCMP_SYS(ioctl), EPERM, {SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffffUL, request)});
    }
  }
  // Also in namespaces: there the process that counts what the program uses is the same
  // user's, and must keep what it may open.
  void refuse_limits_of_others() {
    add(SCMP_SYS(prlimit64), EPERM, {SCMP_A0(SCMP_CMP_NE, 0)});
  }
  void refuse_other_processes() {
    for (const int call : kOfProcesses) add(call, EPERM, {SCMP_A0(SCMP_CMP_NE, 0)});
    // A kind of target, and which. All of a user's are more than one's own.
    constexpr unsigned kIoUser = 3;
    const auto refuse = [this](int call, scmp_datum_t user) {
      add(call, EPERM, {SCMP_A0(SCMP_CMP_MASKED_EQ, 0xffffffffUL, user)});
      add(call, EPERM, {SCMP_A1(SCMP_CMP_NE, 0)});
    };
    refuse(SCMP_SYS(setpriority), PRIO_USER);
    refuse(SCMP_SYS(ioprio_set), kIoUser);
  }
  void refuse_files_by_name() {
    refuse(kOfFilesByName, EPERM);
    for (const int call : {SCMP_SYS(utimensat), SCMP_SYS(futimesat)}) {
      add(call, EPERM, {SCMP_A1(SCMP_CMP_NE, 0)});
    }
  }
  // Also by opening what is not opened for writing.
  void refuse_truncation() {
    add(SCMP_SYS(truncate), EPERM, {});
    for (const int mode : {O_RDONLY, O_ACCMODE}) {
      const scmp_datum_t flags = O_TRUNC | mode;
      add(SCMP_SYS(open), EPERM,
          {SCMP_A1(SCMP_CMP_MASKED_EQ, O_TRUNC | O_ACCMODE, flags)});
      add(SCMP_SYS(openat), EPERM,
          {SCMP_A2(SCMP_CMP_MASKED_EQ, O_TRUNC | O_ACCMODE, flags)});
    }
  }
  // One end of a pair of datagrams, or of a raw one, which is the same, can be connected
  // anew.
  void refuse_unix() {
    family_is(AF_UNIX, EACCES);
    for (const scmp_datum_t type : {SOCK_DGRAM, SOCK_RAW}) {
      add(SCMP_SYS(socketpair), EACCES, {SCMP_A1(SCMP_CMP_MASKED_EQ, 0xf, type)});
    }
  }
  // A socket of a family that nobody thought of may reach out of its namespace (AF_VSOCK
  // does), so there are only those that are named here.
  void sockets(SandboxNetwork network) {
    if (network == SandboxNetwork::kHost) {
      for (int family = 0; family < AF_MAX; ++family) {
        if (family == AF_UNIX || family == AF_INET || family == AF_INET6) continue;
        family_is(family, EAFNOSUPPORT);
      }
    } else {
      for (int family = 0; family < AF_MAX; ++family) {
        if (family == AF_UNIX) continue;
        family_is(family,
                  family == AF_INET || family == AF_INET6 ? ENETUNREACH : EAFNOSUPPORT);
      }
    }
    add(SCMP_SYS(socket), EAFNOSUPPORT, {SCMP_A0(SCMP_CMP_GE, AF_MAX)});
    add(SCMP_SYS(socketpair), EAFNOSUPPORT, {SCMP_A0(SCMP_CMP_NE, AF_UNIX)});
  }

  Result<std::string> finish() {
    if (error_ == 0) {
      const process::UniqueFd file(memfd_create("carrel-filter", MFD_CLOEXEC));
      error_ = !file ? -errno : seccomp_export_bpf(context_.get(), file.get());
      std::string program;
      if (error_ == 0 && process::read_memory_file(file.get(), program)) return program;
    }
    return fail(
        Code::kUnsupported,
        "the filter of system calls cannot be compiled: " + process::errno_text(-error_),
        "sandbox", -error_);
  }

 private:
  void family_is(int family, int error) {
    // The kernel looks at 32 bits only, so the filter must not look at more.
    add(SCMP_SYS(socket), error,
        {SCMP_A0(SCMP_CMP_MASKED_EQ, 0xffffffffUL, static_cast<scmp_datum_t>(family))});
  }
  void add(int call, int error, std::initializer_list<scmp_arg_cmp> arguments) {
    if (error_ != 0 || call == __NR_SCMP_ERROR) return;
    error_ = seccomp_rule_add_array(
        context_.get(), SCMP_ACT_ERRNO(static_cast<std::uint16_t>(error)), call,
        static_cast<unsigned>(arguments.size()), arguments.begin());
    // A call that this processor never had.
    if (error_ == -EDOM || (error_ == -EINVAL && call < 0)) error_ = 0;
    if (error_ == -EEXIST) error_ = 0;  // a wider rule of it is there
  }

  Context context_;
  int error_ = 0;
};

}  // namespace

Result<std::string> compile_filter(SandboxSyscalls syscalls, SandboxNetwork network,
                                   const Surroundings& around) {
  if (syscalls == SandboxSyscalls::kOff) return std::string();
  Context context(seccomp_init(SCMP_ACT_ALLOW), seccomp_release);
  if (!context) return fail(Code::kUnsupported, "no filter of system calls", "sandbox");
  // Calls of another architecture, and of x32, would go around every rule below.
  seccomp_attr_set(context.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
  seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);  // a binary search
  Compiler compiler(std::move(context));
  compiler.refuse(kUnknown, ENOSYS);
  compiler.refuse(kRefused, EPERM);
  compiler.refuse(kUncounted, EPERM);
  compiler.refuse_limits_of_others();
  const bool strict = syscalls == SandboxSyscalls::kStrict;
  if (strict) compiler.refuse(kRefusedIfStrict, EPERM);
  if (strict || !around.namespaces) compiler.refuse(kShared, EPERM);
  if (!around.namespaces) compiler.refuse_other_processes();
  if (strict && !around.namespaces) compiler.refuse_files_by_name();
  if (!around.truncation) compiler.refuse_truncation();
  compiler.refuse_namespaces();
  compiler.refuse_set_ids();
  compiler.refuse_terminal_tricks();
  compiler.sockets(network);
  if (!around.unix_scope || (strict && network == SandboxNetwork::kNone)) {
    compiler.refuse_unix();
  }
  return compiler.finish();
}

}  // namespace carrel::sandbox
