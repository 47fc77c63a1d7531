import { storeContract } from "../contract/contract.ts";
import { createMemoryStore } from "./memory.ts";

storeContract("memory", async () => createMemoryStore());
