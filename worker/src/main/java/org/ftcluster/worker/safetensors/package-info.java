/** The safetensors file format, read by memory map and written durably. */
@NullMarked
package org.ftcluster.worker.safetensors;

import org.jspecify.annotations.NullMarked;
