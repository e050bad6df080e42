/** A private cluster on this machine for one job. */
@NullMarked
package org.ftcluster.cli.local;

import org.jspecify.annotations.NullMarked;
