/** Works out the hash of a password as crypt(3) does; `undefined` when it cannot. */
export type Crypt = (password: string, setting: string) => Promise<string | undefined>;

/** Hashes worked out at the same time, and those that wait: each takes a thread for some tenths of a second. */
const most = { running: 2, waiting: 128 };

/** `CRYPT_DATA`: what libxcrypt wants for its work. */
const workBytes = 32_768;

/** Names under which C libraries have it. */
const names = ["libcrypt.so.1", "libcrypt.so.2"];

/** crypt(3) of the machine, on threads of its own: requests do not wait for each other's passwords. */
export function createSystemCrypt(): Crypt {
  let loading: Promise<Crypt> | undefined;
  let running = 0;
  const waiting: (() => void)[] = [];

  return async (password, setting) => {
    // A C string ends at its first NUL: what follows would not count.
    if (password.includes("\0")) return undefined;
    if (running >= most.running) {
      if (waiting.length >= most.waiting) return undefined;
      // Whoever ends hands over its place.
      await new Promise<void>((resolve) => waiting.push(resolve));
    } else running++;
    try {
      const crypt = await (loading ??= load());
      return await crypt(password, setting);
    } finally {
      const next = waiting.shift();
      if (next) next();
      else running--;
    }
  };
}

async function load(): Promise<Crypt> {
  const { default: koffi } = await import("koffi");
  const library = names.flatMap((name) => {
    try {
      return [koffi.load(name)];
    } catch {
      // The next name.
      return [];
    }
  })[0];
  if (!library) return () => Promise.resolve(undefined);
  const cryptRn = library.func("const char *crypt_rn(const char *phrase, const char *setting, void *data, int size)");
  return (password, setting) =>
    new Promise((resolve) => {
      const work = Buffer.alloc(workBytes);
      cryptRn.async(password, setting, work, workBytes, (error: Error | null, hash: string | null) => {
        // It must live as long as the call, which knows only its address; what was worked with is not left lying about.
        work.fill(0);
        resolve(error ? undefined : (hash ?? undefined));
      });
    });
}
