export { createNftablesBackend } from "./backend.ts";
export { createNftablesProgram, removeNftablesProgram } from "./program.ts";
export { childNft, NftError, openNft, whyNoNft, whyNoProgram, type Nft } from "./nft.ts";
export { readBack, type KernelState } from "./read-back.ts";
