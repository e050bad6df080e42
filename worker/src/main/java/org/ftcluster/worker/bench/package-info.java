/** Measurements of training speed and memory in one process. */
@NullMarked
package org.ftcluster.worker.bench;

import org.jspecify.annotations.NullMarked;
