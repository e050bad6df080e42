/** Messages that travel between the coordinator's actors and the workers'. */
@NullMarked
package org.ftcluster.protocol.message;

import org.jspecify.annotations.NullMarked;
