import { accessSync, constants } from "node:fs";
import { fileURLToPath } from "node:url";
import { type CommandRunner, CommandError } from "../../system/index.ts";

/** The nginx of this machine. */
export interface NginxProgram {
  readonly file: string;
  /** `1.22.1` */
  readonly version: string;
  /** Files of the modules that must be loaded. */
  readonly modules: readonly string[];
  /** The same for streams; absent: it can do none. */
  readonly streams?: readonly string[];
}

/** This machine has no nginx that can be used. */
export class NginxMissing extends Error {
  readonly code = "NGINX_MISSING";
}

/** Folder of the Lua program. */
export const luaProgram = fileURLToPath(new URL("./lua", import.meta.url));

const folders = ["/usr/sbin", "/usr/local/sbin", "/usr/bin", "/usr/local/bin"];
const lua = ["ndk_http_module.so", "ngx_http_lua_module.so"];
const streams = ["ngx_stream_module.so", "ngx_stream_js_module.so"];
const remedy = "apt-get install nginx libnginx-mod-http-lua";
/** What is missing where only HTTP is served. */
export const streamsRemedy = "apt-get install libnginx-mod-stream libnginx-mod-stream-js";

function exists(file: string, mode = constants.R_OK): boolean {
  try {
    accessSync(file, mode);
    return true;
  } catch {
    return false;
  }
}

/** Looks for nginx and its Lua module. Throws `NginxMissing` with what to install. */
export async function findNginx(commands: CommandRunner, file?: string): Promise<NginxProgram> {
  const found = file ?? folders.map((folder) => `${folder}/nginx`).find((each) => exists(each, constants.X_OK));
  if (found === undefined) throw new NginxMissing(`nginx is not installed: ${remedy}`);
  let said: string;
  try {
    said = (await commands.run(found, ["-V"])).stderr;
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    throw new NginxMissing(`${found} does not start: ${error.message}`);
  }
  const version = /nginx version: [^/]*\/([\d.]+)/.exec(said)?.[1] ?? "0";
  // Built in, as OpenResty has it: nothing to load.
  if (/--add-module=\S*lua-?nginx/i.test(said)) return { file: found, version, modules: [] };
  const folder = /--modules-path=(\S+)/.exec(said)?.[1] ?? "/usr/lib/nginx/modules";
  const modules = lua.map((name) => `${folder}/${name}`);
  if (!modules.every((each) => exists(each))) throw new NginxMissing(`nginx has no Lua module: ${remedy}`);
  const more = streams.map((name) => `${folder}/${name}`);
  return { file: found, version, modules, ...(more.every((each) => exists(each)) ? { streams: more } : {}) };
}
