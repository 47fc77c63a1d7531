/** The bridge that a node's pods hang on. */
export const bridgeName = "fairlead0";
