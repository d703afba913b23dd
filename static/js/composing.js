// @ts-check
// Input methods: while one composes, Enter takes its word and Escape gives it up.

/** Whether a key press belongs to an input method; 229 is what Safari reports for the Enter that ends it.
 * @param {{ isComposing?: boolean, keyCode?: number }} event */
export const isComposed = (event) => event.isComposing === true || event.keyCode === 229;
