/** Gives up, for good, what a process that serves needs no more: its user's rights, its groups, its folder, and any way to more rights. */
export async function confine(user: { readonly uid: number; readonly gid: number } | undefined): Promise<void> {
  const { default: koffi } = await import("koffi");
  const prctl = koffi.load(null).func("int prctl(int, unsigned long, unsigned long, unsigned long, unsigned long)");
  // From linux/prctl.h: programs that it would start get no rights of their own (no_new_privs).
  const failed = prctl(38, 1, 0, 0, 0) as number;
  if (failed !== 0) throw new Error("prctl: no_new_privs is refused");
  if (user) {
    process.setgroups?.([]);
    process.setgid?.(user.gid);
    process.setuid?.(user.uid);
  }
  process.chdir("/");
}
