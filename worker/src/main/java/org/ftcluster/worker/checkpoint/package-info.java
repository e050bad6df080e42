/** State on disk: step checkpoints and PEFT adapters. */
@NullMarked
package org.ftcluster.worker.checkpoint;

import org.jspecify.annotations.NullMarked;
