/** Each CPU kernel beside the same arithmetic out of libtorch's operators, timed by JMH. */
@NullMarked
package org.ftcluster.worker.benchmark;

import org.jspecify.annotations.NullMarked;
