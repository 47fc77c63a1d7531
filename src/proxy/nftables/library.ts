import { closeSync, openSync } from "node:fs";

/** libnftables in this process: a change costs a fraction of a millisecond where starting `nft` costs many. */
export interface Library {
  /** Applies a script; returns what the library says when it refuses, undefined when it did it. */
  run(script: string): string | undefined;
  close(): void;
}

/**
 * Descriptors below this one are let to the library. It waits for the kernel by select(), which takes none from 1,024 on: the C library ends the
 * process then. User space has as many with five hundred connections.
 */
const mostDescriptor = 1_000;

/** Whether what is opened next in this process has a number that select() takes. */
function hasLowDescriptor(): boolean {
  try {
    const next = openSync("/dev/null", "r");
    closeSync(next);
    return next < mostDescriptor;
  } catch {
    // No descriptor is left at all.
    return false;
  }
}

/** Loads the library when it is first wanted. Throws when this machine has none or the foreign function interface does not load. */
export async function openLibrary(): Promise<Library> {
  const { default: koffi } = await import("koffi");
  const library = koffi.load("libnftables.so.1");
  const create = library.func("void *nft_ctx_new(uint32_t flags)");
  const free = library.func("void nft_ctx_free(void *context)");
  const bufferOutput = library.func("int nft_ctx_buffer_output(void *context)");
  const bufferError = library.func("int nft_ctx_buffer_error(void *context)");
  const output = library.func("const char *nft_ctx_get_output_buffer(void *context)");
  const errors = library.func("const char *nft_ctx_get_error_buffer(void *context)");
  const runScript = library.func("int nft_run_cmd_from_buffer(void *context, const char *script)");

  let context: unknown;
  let open = true;
  function begin(): void {
    context = create(0);
    if (!context) throw new Error("libnftables gives no context");
    // Without buffers the library would write to this process's standard output and error.
    bufferOutput(context);
    bufferError(context);
  }
  // It opens a socket, and now and then another in its place.
  if (hasLowDescriptor()) begin();

  return {
    run(script) {
      if (!open) return "the library is closed";
      if (!hasLowDescriptor())
        return "so many files are open in this process that the library cannot wait for the kernel";
      if (!context) begin();
      const failed = Number(runScript(context, script)) !== 0;
      // Reading a buffer empties it; unread it would grow with every command.
      output(context);
      const said: unknown = errors(context);
      return failed ? (typeof said === "string" && said) || "refused without a word" : undefined;
    },
    close() {
      if (open && context) free(context);
      open = false;
    },
  };
}
