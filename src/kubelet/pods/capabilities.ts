import type { Container } from "../../kube/index.ts";

/** All there are, as the kernel numbers them. */
export const capabilities: readonly string[] =
  "chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot sys_ptrace sys_pacct sys_admin sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease audit_write audit_control setfcap mac_override mac_admin syslog wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore".split(
    " ",
  );

/** Names of the capabilities that a container gives up, in lower case and without `CAP_`; names that no kernel has are passed over. */
export function droppedCapabilities({ securityContext }: Container): readonly string[] {
  const { drop = [], add = [] } = securityContext?.capabilities ?? {};
  if (securityContext?.privileged) return [];
  const named = (names: readonly string[]): Set<string> =>
    new Set(names.map((name) => name.toLowerCase().replace(/^cap_/, "")));
  const [dropped, kept] = [named(drop), named(add)];
  if (kept.has("all")) return [];
  return capabilities.filter((name) => (dropped.has("all") || dropped.has(name)) && !kept.has(name));
}
